"""The account at Cloudflare from a terminal: signing in, zones, what is there already, and jobs.

Owns the sentences of those verbs of `nexus-tray tunnel …`. Imports layer 1 and Backend; main
thread.
"""

from argparse import Namespace

from nexus_tray.cli import job_view
from nexus_tray.cli import tunnel_lines as lines
from nexus_tray.cli.console import Console, Exit
from nexus_tray.commands import (
    AnswerJob,
    CancelJob,
    DismissJob,
    ForgetZone,
    ImportTunnel,
    Login,
    RetryJob,
)
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import Job, JobState


def login(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Sign in at Cloudflare for one zone."""
    return job_view.follow_command(backend, Login(), options, console, "Signed in.")


def zones(backend: Backend, _: Namespace, console: Console) -> Exit:
    """The zones in which tunnels can be made."""
    found = backend.tunnels().zones
    if console.json:
        console.show(found)
        return Exit.OK
    for zone in found:
        console.say(inert(f"{zone.id}  {zone.name or 'name not known'}"))
        if zone.reason is not None:
            lines.tell(zone.reason, console)
    if not found:
        console.say("None. To sign in at Cloudflare: nexus-tray tunnel login")
    return Exit.OK


def forget_zone(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Delete a zone's certificate here."""
    outcome = backend.submit(ForgetZone(zone_id=lines.zone_id(backend, options.zone)))
    return console.conclude(outcome, "Its certificate is deleted here. Its tunnels go on.")


def take_over(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Take over what an existing cloudflared left; without a path, list it."""
    if options.path:
        outcome = backend.submit(ImportTunnel(path=options.path))
        return console.conclude(outcome, inert(outcome.value) or "It is taken over.")
    found = backend.importable()
    if console.json:
        console.show(found)
        return Exit.OK
    for one in found:
        console.say(inert(f"{one.path}  {one.kind}  {one.name} {', '.join(one.hostnames)}"))
        if one.reason is not None:
            lines.tell(one.reason, console)
    if not found:
        console.say("Nothing was found that can be taken over.")
    return Exit.OK


def jobs(backend: Backend, _: Namespace, console: Console) -> Exit:
    """What takes long and is not over, or failed."""
    found = backend.snapshot().jobs
    if console.json:
        console.show(found)
    for job in () if console.json else job_view.unfinished(found):
        console.say(inert(f"{job.id}  {job.kind} {job.subject}  {job.state.value}"))
        _tell_what_it_waits_for(job, console)
    return Exit.OK


def _tell_what_it_waits_for(job: Job, console: Console) -> None:
    """What a person can do about it."""
    for said in (job.reason, job.question):
        if said is not None:
            lines.tell(said, console)
    if job.question is not None:
        console.say(inert(f"      nexus-tray tunnel answer {job.id} yes (or no)"))
    if job.link is not None:
        console.say(inert(f"      Open this page: {job.link}"))
    for number, line in enumerate(job.by_hand, 1):
        console.say(inert(f"      {number}. {line}"))
    if job.state is JobState.FAILED:
        console.say(inert(f"      To go on: nexus-tray tunnel retry {job.id}"))


def answer(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Answer a job's question, and follow it."""
    return job_view.follow_command(
        backend, AnswerJob(id=options.id, yes=options.answer == "yes"), options, console, ""
    )


def cancel(backend: Backend, options: Namespace, console: Console) -> Exit:
    """End a job."""
    return console.conclude(backend.submit(CancelJob(id=options.id)), "It is being cancelled.")


def retry(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Go on with a job that failed, and follow it."""
    return job_view.follow_command(backend, RetryJob(id=options.id), options, console, "")


def dismiss(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Show a job no more."""
    return console.conclude(backend.submit(DismissJob(id=options.id)), "It is shown no more.")
