"""Settings as a person may set them: service/settings.py and the two models on it, through the door of `cli/serve.py`.

Whatever the environment says: settings, or a sentence for each wrong variable that names it, and status 78. Passwords
stand in neither. What is taken says the same when it is read again.

Lines of NAME=VALUE, over settings that are good.
"""

import contextlib
import io
import os
from unittest import mock

from cli.serve import read_settings
from ingress.settings import IngressSettings
from processor.settings import ProcessorSettings
from service.errors import EXIT_OPERATOR
from service.settings import ServiceSettings

SECRET = "hunter2hunter2"
GOOD = {
    "POSTGRES_URL": f"postgresql://user:{SECRET}@127.0.0.1:5432/database",
    "KAFKA_SASL_PASSWORD": SECRET,
    "ENTERPRISE_ID": "enterprise",
    "BITGO_PUBLIC_KEY_FILES": "bitgo.pem",
    "INSTANCE_ID": "processor-0",
}
MODELS: tuple[type[ServiceSettings], ...] = (IngressSettings, ProcessorSettings)


def check(data: bytes) -> None:
    lines = [line.partition(b"=") for line in data.replace(b"\0", b"").split(b"\n")]
    given = {os.fsdecode(name).strip().upper(): os.fsdecode(value) for name, _, value in lines if name.strip()}
    for model in MODELS:
        prefix = model.model_config["env_prefix"]
        environment = {f"{prefix}{name}": value for name, value in (GOOD | given).items() if "=" not in name}
        _check_read(model, environment, prefix)


def _check_read(model: type[ServiceSettings], environment: dict[str, str], prefix: str) -> None:
    said = io.StringIO()
    with mock.patch.dict(os.environ, environment, clear=True), contextlib.redirect_stderr(said):
        try:
            settings = read_settings(model)
        except SystemExit as error:
            code, settings = error.code, None
        if settings is None:
            _check_sentences(said.getvalue(), prefix)
            assert code == EXIT_OPERATOR
            return
        assert SECRET not in repr(settings)
        assert SECRET not in str(settings.model_dump())
        again = model.model_validate(settings.model_dump())
    assert settings == again
    assert str(settings.topics.commands).startswith(settings.topic_prefix)


def _check_sentences(said: str, prefix: str) -> None:
    assert SECRET not in said
    assert "Traceback" not in said
    assert said.strip()
    assert all(line.startswith((prefix, "settings: ")) for line in said.splitlines()), said
