"""OpenCode's questions as entries of the menu, with the answers that may be given there.

Owns the rule that nobody allows what they cannot read: the whole command stands above the
answers, and what is too long for a menu can be allowed only where it is shown whole. Pure;
imports layer 1 and the pure parts of core; any thread.
"""

from collections.abc import Iterator

from nexus_tray.commands import AnswerPermission, AnswerQuestion, OpenDoor
from nexus_tray.core.links import session_link
from nexus_tray.desktop.items import Browse, Item, Submit
from nexus_tray.desktop.words import elided, lines
from nexus_tray.model import Question, QuestionKind, Snapshot

MOST_QUESTIONS = 5
MOST_LINES = 8
"""Of a question's text. What is longer cannot be judged in a menu."""


def asks(snapshot: Snapshot) -> Iterator[Item]:
    """One entry for each question, the oldest first; and how many more there are."""
    questions = snapshot.activity.questions if snapshot.activity else ()
    for question in questions[:MOST_QUESTIONS]:
        yield _question(question, _whose(snapshot, question))
    if len(questions) > MOST_QUESTIONS:
        yield Item("more questions", f"{len(questions) - MOST_QUESTIONS} more: see OpenCode")


def _question(question: Question, whose: str) -> Item:
    key = f"question {question.id}"
    text = lines(_text(question))
    shown = text[:MOST_LINES]
    told = [Item(f"{key} line {number}", line) for number, line in enumerate(shown)]
    if len(text) > len(shown):
        told.append(Item(f"{key} cut", "… and more. Read it whole before you answer."))
    if whose:
        told.append(Item(f"{key} whose", whose))
    whole = len(text) == len(shown)
    link = OpenDoor(path=session_link(question.directory, question.session_id))
    show = Item(f"{key} show", "Show in OpenCode", Browse(link))
    gap = Item(f"{key} gap")
    label = elided(f"OpenCode asks: {question.detail or _text(question)}")
    return Item(key, label, items=(*told, gap, *_answers(question, key, whole=whole), show))


def _text(question: Question) -> str:
    """What is asked: the kind of permission and its object, or the questions."""
    if question.kind is QuestionKind.PERMISSION:
        return "\n".join(part for part in (question.title, question.detail) if part)
    return "\n".join(part.text for part in question.parts) or question.title


def _answers(question: Question, key: str, *, whole: bool) -> Iterator[Item]:
    if question.kind is QuestionKind.PERMISSION:
        answers = (("once", "Allow once"), ("always", "Allow always")) if whole else ()
        for reply, label in (*answers, ("reject", "Reject")):
            command = AnswerPermission(question_id=question.id, reply=reply)
            yield Item(f"{key} {reply}", label, Submit(command))
        return
    if whole and len(question.parts) == 1 and not question.parts[0].multiple:
        for number, (label, description) in enumerate(question.parts[0].options):
            said = f"{label}: {description}" if description else label
            chosen = AnswerQuestion(question_id=question.id, answers=((label,),))
            yield Item(f"{key} option {number} {label}", elided(said), Submit(chosen))
    reject = AnswerQuestion(question_id=question.id, answers=())
    yield Item(f"{key} reject", "Do not answer", Submit(reject))


def _whose(snapshot: Snapshot, question: Question) -> str:
    """Which session asks, where that is known."""
    sessions = snapshot.activity.sessions if snapshot.activity else ()
    titles = (session.title for session in sessions if session.id == question.session_id)
    title = next(titles, "")
    return f"in “{elided(title, 40)}”" if title else ""
