"""Diagnosis rules about RunPod's refusals and the account's balance. Pure."""

from jobs.services.operations.facts import SOON, TOLD, Diagnosis, Facts


def key(facts: Facts) -> Diagnosis | None:
    """The API key is refused: 401 or 403."""
    if facts.refusal != "key_refused":
        return None
    return Diagnosis(
        "key_refused",
        "RunPod refuses the API key of this endpoint.",
        ("RunPod answered 401 or 403",),
        "Set a valid key in the environment and restart. Held jobs then continue.",
        f"The operator has to renew a key. {SOON}",
    )


def balance(facts: Facts) -> Diagnosis | None:
    """The balance is used up: 402, or 404 with a negative balance."""
    is_negative = facts.balance is not None and facts.balance < 0
    if facts.refusal != "payment_required" and not (facts.not_found and is_negative):
        return None
    is_asked = facts.refusal == "payment_required"
    evidence = ["RunPod asked for payment (402)"] if is_asked else []
    evidence += ["every route of the endpoint answers 404"] if facts.not_found else []
    evidence += [f"the balance is ${facts.balance:.2f}"] if is_negative else []
    return Diagnosis(
        "balance",
        "The account's balance is used up, and RunPod has switched the endpoint off.",
        tuple(evidence),
        "Top up the balance. If the 404 stays, recreate the endpoint: it never comes back.",
        f"The operator has to top up the account at RunPod. {SOON}",
    )


def never_started(facts: Facts) -> Diagnosis | None:
    """A listed endpoint answers 404 because it is new and has never run."""
    is_new = facts.is_listed and not facts.has_completed and not facts.samples
    has_money = facts.balance is not None and facts.balance >= 0
    if not (facts.not_found and is_new and has_money):
        return None
    return Diagnosis(
        "never_started",
        "No worker of this endpoint has ever started, so RunPod does not know it yet.",
        (
            "its routes answer 404, but the account lists it",
            f"the balance is ${facts.balance:.2f}",
            "no job has ever been completed there",
        ),
        "Check the image and GPU tiers; “Look again now” shows the workers' messages.",
        TOLD,
    )


def gone(facts: Facts) -> Diagnosis | None:
    """The endpoint does not exist any more; the evidence shows what could revive it."""
    if not facts.not_found:
        return None
    evidence = ["every route of the endpoint answers 404"]
    if facts.is_listed is not None:
        evidence.append(f"the account lists it: {'yes' if facts.is_listed else 'no'}")
    if facts.balance is not None:
        evidence.append(f"the balance is ${facts.balance:.2f}")
    return Diagnosis(
        "endpoint_gone",
        "RunPod no longer knows this endpoint.",
        tuple(evidence),
        "Recreate it here: same configuration, new id. Endpoints that a negative balance "
        "has switched off do not come back.",
        "The operator has to set the endpoint up again. Then run the job again.",
    )


def busy(facts: Facts) -> Diagnosis | None:
    """We sent too many requests: 429."""
    if facts.refusal != "rate_limited":
        return None
    return Diagnosis(
        "rate_limited",
        "RunPod asks for fewer requests (429). Slipway slows down by itself.",
        ("RunPod answered 429",),
        "Usually nothing. Something else may use the same endpoint.",
        f"RunPod is busy. {SOON}",
        is_trouble=False,
    )


def silent(facts: Facts) -> Diagnosis | None:
    """No useful answer arrives: time-outs and 5xx."""
    if facts.refusal != "no_answers":
        return None
    return Diagnosis(
        "no_answers",
        "RunPod does not answer for this endpoint, or answers with errors.",
        ("the last calls timed out or got 5xx",),
        "See RunPod's status page. Slipway keeps trying, at growing intervals.",
        f"RunPod does not answer at the moment. {SOON}",
    )
