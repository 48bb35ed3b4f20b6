"""DICOM services for those who embed or teach: an SCP in ten lines, an SCU in ten lines.

Names are imported when first used, so that `import services` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.scp import SCP as SCP
    from services.scu import associate as associate
    from services.send import contexts_for as contexts_for
    from services.send import read_instance as read_instance
    from services.send import send_file as send_file
    from services.storage import ReceivedInstance as ReceivedInstance
    from services.storage import Storage as Storage
    from services.storage import store as store
    from services.verification import Verification as Verification
    from services.verification import echo as echo
    from services.verification import verification_context as verification_context

_HOMES = {
    "SCP": "services.scp",
    "ReceivedInstance": "services.storage",
    "Storage": "services.storage",
    "Verification": "services.verification",
    "associate": "services.scu",
    "contexts_for": "services.send",
    "echo": "services.verification",
    "read_instance": "services.send",
    "send_file": "services.send",
    "store": "services.storage",
    "verification_context": "services.verification",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'services' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
