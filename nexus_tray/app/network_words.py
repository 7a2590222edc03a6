"""What is said about the local network's door: why it is shut, and how devices trust it.

Owns these words. Imports the model. Any thread.
"""

from nexus_tray.model import Hop, Reason

SHUT = "The door for the local network stays shut."


def reason(code: str, what: str, cure: str, meaning: str = SHUT) -> Reason:
    """A reason of this door's."""
    return Reason(code=f"network-{code}", hop=Hop.GATEWAY, what=what, meaning=meaning, cure=cure)


NO_ADDRESS = reason(
    "no-address",
    "No address is chosen on which the local network may come in.",
    "Choose one of this computer's addresses.",
)
NO_PASSWORD = reason(
    "no-password",
    "No password is set, so the local network may not come in.",
    "Choose one: nexus-tray password set",
)
PAUSED = reason(
    "paused",
    "Remote access is paused, for the local network too.",
    "Resume it from the tray, or with: nexus-tray resume",
)
CUT = reason(
    "cut",
    "All access from outside was ended.",
    "Switch this door on again.",
)
GATEWAY_OFF = reason(
    "gateway-off",
    "The gateway does not run.",
    "It is opened by itself when the gateway runs.",
)
HALF_OWN = reason(
    "half-own",
    "A certificate of your own needs both files, the certificate and its key.",
    "Name both, or neither.",
)


def odd_address(address: str) -> Reason:
    """The setting holds no address."""
    return reason(
        "odd-address",
        f"“{address[:60]}” is no address of a network.",
        "Choose one of this computer's addresses.",
    )


def away(address: str) -> Reason:
    """The machine is in another network now, or the interface is down."""
    return reason(
        "address-away",
        f"This computer does not have the address {address} now.",
        "It is opened again by itself when the address is back; or choose another.",
    )


def unexpected(error: Exception) -> Reason:
    """What nobody foresaw. The error's own words may quote a file: only its kind is named."""
    return reason(
        "failed",
        f"The door for the local network could not be opened ({type(error).__name__}).",
        "It is tried again by itself; see the logs.",
    )


TRUST = (
    (
        "iPhone and iPad",
        (
            "Bring the file to the device (AirDrop, mail) and open it. In Settings, General, VPN "
            "& Device Management, install the profile. Then, in Settings, General, About, "
            "Certificate Trust Settings, switch it on: without this step it does not count."
        ),
    ),
    (
        "Android",
        (
            "Bring the file to the device. In Settings, Security, More security settings, "
            "Encryption & credentials, Install a certificate, choose CA certificate and then the "
            "file. Chrome trusts it; Firefox needs “Use third party CA certificates” in its "
            "secret settings."
        ),
    ),
    (
        "macOS",
        (
            "Open the file; it goes into Keychain Access, keychain “login”. Open the certificate "
            "there, and under Trust set “When using this certificate” to Always Trust."
        ),
    ),
    (
        "Windows",
        (
            "Open the file (named .crt), Install Certificate, Current User, “Place all "
            "certificates in the following store”: Trusted Root Certification Authorities."
        ),
    ),
    (
        "Linux",
        (
            "Chrome: Settings, Privacy and security, Security, Manage certificates, Custom, "
            "Trusted certificates, Import. For the whole system (Debian, Ubuntu): copy the file to "
            "/usr/local/share/ca-certificates/ with a name that ends in .crt, then run "
            "update-ca-certificates as root."
        ),
    ),
    (
        "Firefox",
        (
            "Settings, Privacy & Security, View Certificates, Authorities, Import; choose “Trust "
            "this CA to identify websites”."
        ),
    ),
)
"""How the authority is trusted, by system. Compare the fingerprint there with the one here."""
