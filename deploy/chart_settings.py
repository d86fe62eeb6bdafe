"""`python -m deploy.chart_settings`: tell the Helm chart which settings there are, as `make fix` does.

A name under `engine.settings`, `worker.settings` or `secret.data` that is none of them stops `helm install`.
"""

import json
import re
from pathlib import Path

from pydantic_settings import BaseSettings

from engine.options import variable
from engine.settings import EngineSettings
from worker.settings import WorkerSettings

SCHEMA = Path(__file__).parent / "helm" / "moshi" / "values.schema.json"
OF_ENGINE = {
    f"ENGINE_{name}"
    for name in (
        *("CHECKPOINT", "WEIGHTS", "KV", "SLOTS", "HELD_SESSIONS", "GRACE_SECONDS", "DRAIN_SECONDS"),
        *("HOST", "PORT", "SOCKET", "ADMIN_SOCKET", "PEERS", "TLS_CERT", "TLS_KEY", "LOG_FORMAT"),
    )
}
"""What the chart gives the engine by itself, from other values."""
OF_WORKER = {
    f"WORKER_{name}"
    for name in (
        *("MAX_CALL_SECONDS", "HOST", "PORT", "METRICS_PORT"),
        *("WEB_HOST", "WEB_PORT", "CALLS_CHECKED_UPSTREAM"),
    )
}
"""The same for the worker, which is also told where LiveKit and the engine are."""


def names() -> dict[str, list[str]]:
    """The names that values may have, by their place in the schema's `definitions`."""
    engine, of_engine = _named(EngineSettings, "ENGINE_")
    worker, of_worker = _named(WorkerSettings, "WORKER_")
    secrets = {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "HF_TOKEN", *of_engine, *of_worker}
    return {
        "engineSettings": sorted(engine - OF_ENGINE),
        "workerSettings": sorted(worker - OF_WORKER),
        "secretNames": sorted(secrets),
    }


def schema(text: str) -> str:
    """The schema with the settings as the code has them now."""
    for place, known in names().items():
        text, found = re.subn(rf'("{place}": .*"enum": )\[[^]]*\]', rf"\g<1>{json.dumps(known)}", text)
        assert found == 1, f"values.schema.json has no place for {place}"
    return text


def _named(kind: type[BaseSettings], prefix: str) -> tuple[set[str], set[str]]:
    """The settings that begin with `prefix`: plain ones, and those that are secret."""
    plain: set[str] = set()
    secret: set[str] = set()
    for field_name, field in kind.model_fields.items():
        name = variable(kind, field_name)
        if name.startswith(prefix):
            (secret if "SecretStr" in str(field.annotation) else plain).add(name)
    return plain, secret


if __name__ == "__main__":
    SCHEMA.write_text(schema(SCHEMA.read_text()))
