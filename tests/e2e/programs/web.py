# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A Flask application for gunicorn. /leak keeps one order a request; /fine keeps none; /truth tells what this worker has kept."""
import os

from flask import Flask, jsonify

application = Flask(__name__)
ORDERS = []


class Order:
    __slots__ = ("number", "lines")

    def __init__(self, number):
        self.number = number
        self.lines = [number]


@application.route("/leak")
def leak():
    ORDERS.append(Order(len(ORDERS)))
    return "kept"


@application.route("/fine")
def fine():
    return str(len([Order(number) for number in range(10)]))


@application.route("/truth")
def truth():
    return jsonify(pid=os.getpid(), orders=len(ORDERS))
