"""Fill a new tracker with a client's data. Usage: seed.py TRACKER_HOME, with the Python of the old release.

Passwords come as JSON on standard input: {user name: password}.
"""

import json
import random
import sys

import roundup.date
import roundup.instance

PEOPLE = ("astrid", "bengt", "cecilia", "david", "elin", "fredrik")
CENTRES = ("4711", "4712", "4720", "4790", "5100")
PARTS = ("Conveyor", "Press", "Paint line", "Crane", "Gate", "Furnace")
TROUBLES = (
    "stops without a message",
    "needs a new sensor",
    "runs hot",
    "leaks oil",
    "is due for inspection",
    "vibrates at start",
)
ISSUES = 60
MESSAGES = 24


def main(home):
    passwords = json.load(sys.stdin)
    chance = random.Random(20)  # noqa: S311 - the same data in every lab, no secret
    db = roundup.instance.open(home).open("admin")
    try:
        db.user.set("1", password=roundup.password.Password(passwords["admin"], config=db.config))
        sync = roundup.password.Password(passwords["sync"], config=db.config)
        db.user.create(username="sync", password=sync, address="sync@lindgren.example", roles="User")
        users = [
            db.user.create(username=name, realname=name.title(), address=f"{name}@lindgren.example", roles="User")
            for name in PEOPLE
        ]
        issues = [create_issue(db, chance, users, number) for number in range(ISSUES)]
        for number in range(MESSAGES):
            text = f"Looked at it, part {100 + number} is ordered."
            # Straight into the classes: a message sent by the web interface would be mailed to everybody concerned.
            message = db.msg.create(
                author=chance.choice(users), content=text, summary=text[:40], date=roundup.date.Date("2026-03-01")
            )
            issue = issues[number % len(issues)]
            db.sql("insert into issue_messages (linkid, nodeid) values (?, ?)", (message, issue))
        db.commit()
    finally:
        db.close()


def create_issue(db, chance, users, number):
    title = f"{chance.choice(PARTS)} {1 + number % 7} {chance.choice(TROUBLES)}"
    return db.issue.create(
        title=title,
        priority=str(chance.randint(1, 5)),
        status=str(chance.randint(1, 8)),
        assignedto=chance.choice(users),
        cost_centre=chance.choice(CENTRES),
        effort_hours=chance.randint(1, 80) / 4,
    )


main(*sys.argv[1:])
