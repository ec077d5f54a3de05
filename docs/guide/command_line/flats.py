"""Writes flats.csv, a table such as people have: numbers, text, dates, gaps; and new.csv, rows to predict."""

import random

rng = random.Random(0)
RENTS = {"harbour": 15, "hill": 20, "station": 10}


def flat():
    area, district, lift = rng.uniform(20, 150), rng.choice(list(RENTS)), rng.random() < 0.5
    built = f"{rng.randint(1950, 2020)}-{rng.randint(1, 12):02d}-01"
    rent = area * RENTS[district] + 150 * lift + rng.uniform(-100, 100)
    shown = f"{area:.1f}" if rng.random() > 0.03 else "NA"
    return f"{shown},{district},{str(lift).lower()},{built},{rent:.2f}"


with open("flats.csv", "w", encoding="utf-8") as file:
    print("area,district,lift,built,rent", *(flat() for _ in range(500)), sep="\n", file=file)

with open("new.csv", "w", encoding="utf-8") as file:
    print("district,area,lift,built", "hill,80,true,1990-05-01", "island,80,,1990-05-01", sep="\n", file=file)
