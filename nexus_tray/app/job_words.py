"""What is said of jobs when something is not as wished. Words only."""

from pathlib import Path

from nexus_tray.model import Hop, Job, JobState, Reason


def _reason(code: str, what: str, cure: str = "", meaning: str = "") -> Reason:
    return Reason(code=code, hop=Hop.CLOUDFLARED, what=what, meaning=meaning, cure=cure)


NO_JOB = _reason("no-such-job", "There is no such job.", "`nexus-tray tunnel jobs` lists them.")
NO_QUESTION = _reason("job-asks-nothing", "This job does not ask anything now.")
OVER_ALREADY = _reason("job-over", "This job is over.")
NOT_FAILED = _reason("job-not-failed", "This job did not fail.")
GOES_ON = _reason("job-goes-on", "This job still goes on.", "Cancel it first.")
UNFORESEEN = _reason(
    "job-unforeseen", "Something unforeseen went wrong.", "The log of Nexus Tray says what."
)
BROKEN_OFF = _reason(
    "job-broken-off",
    "Nexus Tray ended before this was done.",
    "Go on with it, or cancel it.",
    "What was done until then is kept.",
)


def cancelled(said: str) -> Reason:
    """It was cancelled, and what came of that."""
    return _reason("job-cancelled", f"It was cancelled. {said}".strip())


def busy(subject: str, job: Job) -> Reason:
    """Another job of that subject is not over."""
    what = f"“{subject}” is being worked on already ({job.kind})."
    if not subject:
        what = "Another sign-in at Cloudflare is under way."
    cure = f"Wait for it, or end it: nexus-tray tunnel cancel {job.id}"
    if job.state is JobState.FAILED:
        what = f"“{subject}” was being worked on ({job.kind}), and that failed."
        cure = (
            f"Go on with it: nexus-tray tunnel retry {job.id}"
            f" (or take it back: nexus-tray tunnel cancel {job.id})"
        )
    elif job.question is not None:
        cure = f"It waits for an answer: nexus-tray tunnel answer {job.id} yes (or no)"
    return _reason("job-busy", what, cure, "Nothing was begun.")


_UNKNOWN = "What was half made or half deleted at Cloudflare is not known any more."
_LOOK = "Look at Cloudflare's dashboard whether a tunnel or a name was left there."


def damaged(file: Path, aside: Path) -> Reason:
    """The file of what is not over cannot be read, and is kept elsewhere."""
    return _reason("jobs-damaged", f"{file} was damaged. It is kept as {aside}.", _LOOK, _UNKNOWN)


def unread(why: Reason) -> Reason:
    """It cannot be read, and `why`."""
    return _reason("jobs-unread", why.what, f"{why.cure} {_LOOK}".strip(), _UNKNOWN)
