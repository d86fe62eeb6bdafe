"""Files of a Hugging Face repository, with its problems told in words."""

import logging
from pathlib import Path

import huggingface_hub
from httpx2 import TransportError
from huggingface_hub import errors

from engine.errors import CheckpointError

log = logging.getLogger(__name__)


def download(repo: str, name: str) -> Path:
    """The file `name` of `repo`, from the cache if it is there and current. Raises `CheckpointError`."""
    path = download_if_there(repo, name)
    if path is None:
        raise CheckpointError(
            f"{repo}: the repository has no file {name}; correct the name in its config.json"
        )
    return path


def download_if_there(repo: str, name: str) -> Path | None:
    """As `download`; None where the repository has no such file."""
    try:
        return Path(_current(repo, name))
    except errors.GatedRepoError:
        problem = "access is restricted; accept its terms on the Hub and set HF_TOKEN"
    except errors.RepositoryNotFoundError:
        problem = (
            "no such repository on the Hugging Face Hub; correct the name, or set HF_TOKEN if it is private"
        )
    except errors.LocalEntryNotFoundError:
        problem = (
            f"{name} is not in the cache and the Hub cannot be reached; "
            "check the network, HF_HUB_OFFLINE and HF_HOME"
        )
    except errors.EntryNotFoundError:
        return None
    except errors.HFValidationError:
        problem = "not the name of a repository (owner/name)"
    except (errors.HfHubHTTPError, TransportError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problem = f"{name} could not be downloaded ({reason}); check the network and try again"
    raise CheckpointError(f"{repo}: {problem}")


def _current(repo: str, name: str) -> str:
    """Asks for the file once before it is downloaded: without a network that says so at once, where the
    download would try for half a minute.
    """
    try:
        metadata = huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repo, name))
    except (TransportError, errors.OfflineModeIsEnabled):
        if huggingface_hub.try_to_load_from_cache(repo, name) is huggingface_hub._CACHED_NO_EXIST:
            raise errors.EntryNotFoundError(f"{repo} had no {name}") from None
        return huggingface_hub.hf_hub_download(repo, name, local_files_only=True)
    except errors.EntryNotFoundError:
        # Asked in this way, it keeps in mind that there is none: a later start may be without a network.
        return huggingface_hub.hf_hub_download(repo, name)
    cached = huggingface_hub.try_to_load_from_cache(repo, name, revision=metadata.commit_hash)
    if not isinstance(cached, str):
        log.info("downloading", extra={"repository": repo, "file": name, "bytes": metadata.size})
    return huggingface_hub.hf_hub_download(repo, name)
