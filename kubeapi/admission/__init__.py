"""What decides about a write besides permissions and validation: policies, webhooks, quotas, limits, pod security.

    decoded object → changed (defaults of limit ranges, mutating policies, mutating webhooks)
                   → prepared and validated → judged (pod security, validating policies, validating webhooks, quotas)

Each is told of by objects in the cluster; what they say is read once and kept until one of them changes. Only a webhook
waits: see `kubeapi.admission.memory`.
"""
