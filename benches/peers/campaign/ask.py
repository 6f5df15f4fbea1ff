"""What every user of a Python tool writes to talk to a program: points to it as CSV, answers back, tables to files."""

import csv
import io
import subprocess


def number(text):
    try:
        return float(text)
    except ValueError:
        return float("nan")


def ask(program, names, points):
    """The program's answers, a row of NaN where it has none."""
    table = io.StringIO()
    csv.writer(table).writerows([names, *points])
    done = subprocess.run(program, input=table.getvalue(), stdout=subprocess.PIPE, text=True)
    return [[number(cell) for cell in row] for row in csv.reader(io.StringIO(done.stdout))][1:]


def read(path, names):
    """The columns of those names, as text."""
    with open(path, newline="") as file:
        return [[row[name] for name in names] for row in csv.DictReader(file)]


def write(path, names, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
