"""From a posted form to the command that answers OpenCode's question.

Pure. Imports the model, the commands and `gateway.forms`. What is answered is looked up in
the present activity, so a form can name neither a choice nor a question that is not there.
"""

from collections.abc import Mapping

from nexus_tray.commands import AnswerPermission, AnswerQuestion
from nexus_tray.gateway.site.forms import one
from nexus_tray.model import Activity, Question, QuestionKind, QuestionPart

LONGEST_ANSWER = 2000
REPLIES = ("once", "always", "reject")


class NotAnswered(Exception):
    """Nothing was answered; `note` is the key of what the home page says about it."""

    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note


def command_for(
    fields: Mapping[str, list[str]], activity: Activity | None
) -> tuple[AnswerPermission | AnswerQuestion, str]:
    """The command, and the note of its success. Raises NotAnswered."""
    question_id, reply = one(fields, "id"), one(fields, "reply")
    questions = activity.questions if activity else ()
    question = next((q for q in questions if q.id == question_id), None)
    if question is None:
        raise NotAnswered("gone")
    if question.kind is QuestionKind.PERMISSION:
        if reply not in REPLIES:
            raise NotAnswered("empty")
        note = "rejected" if reply == "reject" else "answered"
        return AnswerPermission(question_id=question.id, reply=reply), note
    if reply == "dismiss":
        return AnswerQuestion(question_id=question.id, answers=()), "rejected"
    return AnswerQuestion(question_id=question.id, answers=_answers(fields, question)), "answered"


def _answers(fields: Mapping[str, list[str]], question: Question) -> tuple[tuple[str, ...], ...]:
    answers = tuple(_chosen(fields, number, part) for number, part in enumerate(question.parts))
    if not all(answers):
        raise NotAnswered("empty")
    return answers


def _chosen(fields: Mapping[str, list[str]], number: int, part: QuestionPart) -> tuple[str, ...]:
    """The labels chosen for one part. Own words stand instead of a single choice, and
    beside several."""
    places = {str(place): label for place, (label, _) in enumerate(part.options)}
    labels = [places[v] for v in fields.get(f"choice{number}", []) if v in places]
    own = (one(fields, f"own{number}") or "").strip()[:LONGEST_ANSWER] if part.custom else ""
    if own and not part.multiple:
        return (own,)
    labels = labels if part.multiple else labels[:1]
    return (*dict.fromkeys(labels), *([own] if own else []))
