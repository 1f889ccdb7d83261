"""What decides about a write besides permissions and validation: policies, webhooks, quotas, classes, pod security.

    decoded object → changed (limit ranges, classes, service accounts; mutating policies; mutating webhooks)
                   → prepared and validated
                   → judged (limit ranges, pod security, validating policies, validating webhooks, quotas)

Each is told of by objects in the cluster; what they say is read once and kept until one of them changes. Only a webhook
waits: see `kubeapi.admission.memory`.
"""
