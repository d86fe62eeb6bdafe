"""What the model of an engine can be told to be, by its settings."""

from engine.checkpoint import Model
from engine.errors import SessionError, SettingError
from engine.persona.folder import load_voices
from engine.persona.prompt import Personas
from engine.settings import EngineSettings


def personas(settings: EngineSettings, model: Model) -> Personas | None:
    """Voices are encoded here, so that no caller waits for them; None for a model of another kind.

    Raises SettingError for voices and roles that cannot be used, CheckpointError.
    """
    if not model.personas:
        for name in ("voices", "voice", "prompt"):
            if getattr(settings, name) is not None:
                raise SettingError(
                    f"ENGINE_{name.upper()} is for models that take a voice and a role, which {model.name} "
                    "does not: leave it out, or serve nvidia/personaplex-7b-v1"
                )
        return None
    config = model.lm.config
    voices = load_voices(settings.voices, config, model.mimi) if settings.voices else {}
    try:
        return Personas(config, model.tokenizer.tokens, voices, settings.voice, settings.prompt)
    except SessionError as fault:
        raise SettingError(f"ENGINE_VOICE and ENGINE_PROMPT: {fault}") from None
