"""Auth: who a Secret, a ServiceAccount or the controller itself is for a cloud or for GitHub.

    Who + Accounts → token of the cloud → registry login, Git login, access to a cluster, keys for a bucket

One `Clouds` a process, made where the process is wired:

    clouds = Clouds(accounts, Tokens(max_size, max_seconds), object_level=gate, default_account=flag)
    who = clouds.who(namespace, spec.service_account_name)      # GateClosed: Stalled FeatureGateDisabled
    login = await clouds.registry("aws", host, who)             # Login(username, password)
    login = await clouds.git("azure", url, who)                 # Login(bearer=…), or username and password
    access = await clouds.cluster("gcp", cluster, who)          # Access(server, ca, token, expires)
    keys = await clouds.aws(who, region)                        # Keys(access, secret, session)
    token = await clouds.azure(who, scope)                      # an access token
    token = await clouds.gcp(who)                               # an access token
    identity = await clouds.federated(who)                      # Federated(tenant, client, token), for a child process

`accounts` is what lies above this line: shared.kube.accounts reads ServiceAccounts and asks for their tokens. A `Who`
without a name is the controller, which the cloud knows by its environment: variables, mounted tokens, the metadata
service of its machine. Everything takes `proxy`, and raises AuthError with a message that is fit for a status.

What always holds: no secret is in a repr, a log or a message; what a cloud gave out is kept until 80 % of its life are
over; the clouds' own libraries (extras aws, azure, gcp) are imported when first used, and work in threads.
"""

from shared.auth.accounts import CONTROLLER, Accounts, Who
from shared.auth.clouds import Clouds
from shared.auth.errors import AuthError, GateClosed, NoAccount
from shared.auth.results import Access, Federated, Keys, Login
from shared.auth.tokens import Tokens

__all__ = [
    "CONTROLLER",
    "Access",
    "Accounts",
    "AuthError",
    "Clouds",
    "Federated",
    "GateClosed",
    "Keys",
    "Login",
    "NoAccount",
    "Tokens",
    "Who",
]
