# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A Celery application whose task "keep" keeps a receipt. PYLEAK_REDIS is the broker's address."""
import os

from celery import Celery

app = Celery("tasks", broker=os.environ["PYLEAK_REDIS"], backend=os.environ["PYLEAK_REDIS"])
RECEIPTS = []


class Receipt:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number


@app.task
def keep(number):
    RECEIPTS.append(Receipt(number))
    return os.getpid()


@app.task
def fine(number):
    return len([Receipt(each) for each in range(number)])
