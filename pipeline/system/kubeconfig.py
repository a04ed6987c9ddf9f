"""Text of a kubeconfig file."""

import json
from pathlib import Path


def kubeconfig_json(url: str, ca_file: Path, token_file: Path, user: str) -> str:
    """Return a kubeconfig with the paths of the CA and the token, but without the token.

    The server identifies the client by the token, whatever the name of the user is.
    """
    cluster = {"server": url, "certificate-authority": str(ca_file)}
    return json.dumps(  # JSON is YAML
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "milo", "cluster": cluster}],
            "users": [{"name": user, "user": {"tokenFile": str(token_file)}}],
            "contexts": [{"name": "milo", "context": {"cluster": "milo", "user": user}}],
            "current-context": "milo",
        }
    )
