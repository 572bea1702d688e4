"""What one transaction takes: drafts with who waits for them, sealed in order."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.domain.errors import Permanent
from edge_agent.domain.event import Draft, SessionOpened
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.next_session import Opening
from edge_agent.ledger.seal import Sealed, seal
from edge_agent.ledger.signer import Signer
from edge_agent.wire.chain import Head


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that is durable: its place in the chain and its envelope's digest."""

    seq: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """A draft, and who is told of it; `answer` None: an event of the ledger's own."""

    draft: Draft
    answer: asyncio.Future[Recorded] | None


Answer = tuple[asyncio.Future[Recorded] | None, Recorded | BaseException]


def seal_all(
    head: Head,
    waiting: Iterable[Waiting],
    files: EvidenceFiles,
    device: Signer,
    session: Signer,
    opening: Opening | None = None,
) -> tuple[list[Sealed], list[Answer]]:
    """Their events behind `head`, and what each is told once they are stored; evidence lies in `files` by then.

    An `opening`, signed for that place, comes first, and the others are of its session. A draft that can be no event
    gets its error, and the others go on. Raises StoreFull, StoreFailed.
    """
    sealed: list[Sealed] = []
    answers: list[Answer] = []
    if opening is not None:
        sealed, head, session = [opening.sealed], opening.sealed.head_after, opening.session
    for one in waiting:
        opens_session = isinstance(one.draft.body, SessionOpened)
        try:
            for evidence in one.draft.evidence:
                files.keep(evidence)
            event = seal(one.draft, head, device if opens_session else session)
        except (Permanent, ValueError, TypeError) as wrong:
            answers.append((one.answer, wrong))
            continue
        head = event.head_after
        sealed.append(event)
        answers.append((one.answer, Recorded(event.seq, event.sha256)))
    return sealed, answers
