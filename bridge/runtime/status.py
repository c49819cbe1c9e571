"""The status of a bridge in one line for people: `systemctl status` shows it."""


def status_line(
    users: int, *, pbx_online: bool, pbx_problem: str | None, broker_lost: str | None, broker_denial: str | None
) -> str:
    """Such as `3 users; PBX online; broker online`; problems with the messages of their errors.

    `broker_lost` says why there is no connection to the broker, `broker_denial` what the broker does not let be
    published although there is one.
    """
    pbx = "PBX online"
    if not pbx_online:
        pbx = f"no PBX: {pbx_problem or 'it has not answered for a while'}"
    elif pbx_problem is not None:
        pbx = f"PBX online, but {pbx_problem}"
    broker = "broker online"
    if broker_lost is not None:
        broker = f"no broker: {broker_lost}"
    elif broker_denial is not None:
        broker = f"broker online, but {broker_denial}"
    return f"{users} users; {pbx}; {broker}"
