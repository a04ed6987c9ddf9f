"""What the controllers of a cluster make of what is applied to it."""

import json
from typing import Any

Object = dict[str, Any]
_JOB = "batch.kubernetes.io/"


def pods_of(manifest: Object) -> list[Object]:
    """Return the Pods that controllers make of an Indexed Job, or of a TestRun."""
    name = manifest["metadata"]["name"]
    if manifest["kind"] == "Job":
        template, count = manifest["spec"]["template"], manifest["spec"]["completions"]
        spec, labels = template["spec"], template["metadata"]["labels"]
        args: list[list[str]] = [[] for _ in range(count)]
        known = [
            {f"{_JOB}job-name": name, f"{_JOB}job-completion-index": f"{index}"}
            for index in range(count)
        ]
    elif manifest["kind"] == "TestRun":
        count, runner = manifest["spec"]["parallelism"], manifest["spec"]["runner"]
        spec = {"nodeSelector": runner["nodeSelector"], "containers": [runner]}
        spec |= {"volumes": runner["volumes"]}
        labels = runner["metadata"]["labels"]
        known = [{"job-name": f"{name}-{index + 1}"} for index in range(count)]
        bounds = ",".join(["0", *(f"{at}/{count}" for at in range(1, count)), "1"])
        args = [
            [
                f"--execution-segment={bounds.split(',')[at]}:{bounds.split(',')[at + 1]}",
                f"--execution-segment-sequence={bounds}",
            ]
            for at in range(count)
        ]
    else:
        return []
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-{index}-abcde",
                "namespace": manifest["metadata"]["namespace"],
                "labels": {**labels, **known[index]},
            },
            "spec": {**json.loads(json.dumps(spec)), "_args": args[index]},
        }
        for index in range(count)
    ]
