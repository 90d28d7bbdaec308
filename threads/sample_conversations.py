"""Sentences of a travel-security assistant and its customers, with gaps for place and time."""

from __future__ import annotations

from typing import NamedTuple


class Exchange(NamedTuple):
    """What a customer asks, and what the assistant says to it."""

    question: str
    answer: str


class Subject(NamedTuple):
    """Something that people ask about a place.

    Attributes:
        topic: what it is filed under.
        titles: how a conversation about it may be called.
        exchanges: what is said, in this order.
    """

    topic: str
    titles: tuple[str, ...]
    exchanges: tuple[Exchange, ...]


def read_exchanges(text: str) -> tuple[Exchange, ...]:
    """Read paragraphs: the first line is the question, the others are the answer."""
    paragraphs = [paragraph.split("\n") for paragraph in text.strip().split("\n\n")]
    return tuple(
        Exchange(question.strip(), " ".join(line.strip() for line in answer))
        for question, *answer in paragraphs
    )


GREETING = "You are Sentinel, a travel-security assistant. The traveller is going to {place}."
THANKS = (
    "Thank you, that is what I needed.",
    "Good to know. I will book it like that.",
    "Thanks! I will pass it on to my colleagues.",
    "All right, then we stay a night longer.",
)
FAREWELLS = (
    "You are welcome. I will tell you if anything changes in {place} before {date}.",
    "Safe travels. Your alerts for {country} are switched on.",
    "Gladly. Ask again two days before you leave: the situation report is renewed daily.",
)

SUBJECTS = (
    Subject(
        topic="solo travel",
        titles=(
            "Is {place} safe for solo travellers?",
            "A week alone in {place}",
            "Walking home at night in {place}",
        ),
        exchanges=read_exchanges("""
            I am travelling to {place} on my own around {date}. Is it safe?
            On the whole, yes. {place} sees many visitors, and most incidents are pickpocketing in
            crowds. Keep your passport in the hotel and carry a copy.

            Which parts of the city should I avoid after dark?
            The surroundings of the main station and the big markets empty out after ten. The
            centre stays lively until midnight.

            Is it better to take a taxi or to walk back to the hotel at night?
            Order a car through an app, so that the route and the driver are on record. Hailing one
            in the street is where most overcharging happens.

            Does that hold for women travelling alone as well?
            Mostly. Reports of harassment cluster around the nightlife streets at weekends; by day
            there are hardly any.

            Are there scams that I should know about?
            Two are common: the broken taxi meter, and the friendly stranger who knows a bar
            without prices on the menu. Agree on the price first.
        """),
    ),
    Subject(
        topic="protests",
        titles=(
            "Protests in {place} this week",
            "Demonstrations near the parliament in {place}",
            "Will the strike in {place} affect us?",
        ),
        exchanges=read_exchanges("""
            I read about protests in {place}. We arrive on {date}: should we postpone?
            No need so far. The marches are announced, keep to the centre, and have been peaceful.
            Plan nothing there between 18:00 and 23:00.

            Our hotel is two streets from the parliament. Is that a problem?
            It is inconvenient rather than dangerous. Ask for a room to the courtyard, and use the
            entrance that does not face the square.

            How will we know if it gets worse while we are there?
            I can send an alert for a radius of 5 km around the hotel. The embassy posts its
            notices half a day later, as a rule.

            Do the police close the bridges?
            On march days usually two of them, from late afternoon on. The metro keeps running but
            skips the stations in the centre.

            What if the airport road is blocked on the day we leave?
            Leave four hours early and take the northern bypass: it is 12 km longer and has not
            been closed this year.
        """),
    ),
    Subject(
        topic="road travel",
        titles=(
            "Driving from {place} to {other}",
            "Night bus from {place} to {other}?",
            "Mountain roads around {place}",
        ),
        exchanges=read_exchanges("""
            We want to go from {place} to {other} by car on {date}. What should we know?
            The main road is in good repair. The hazards are overtaking lorries and animals after
            dusk; try to arrive by daylight.

            Is the road open all year?
            The pass closes for days after heavy snow, mostly from December to March. I check the
            road service at six every morning and can wake you.

            Can we do it in one day?
            With two drivers, yes. With one, break the journey: tired drivers are behind a third of
            the serious accidents on this route.

            What about the night bus instead?
            I would not. Two of the last five serious coach accidents on it happened between
            two and five in the morning.

            Which number do we call after an accident?
            112 answers in English in the cities. On the pass it is quicker to ask for the mountain
            rescue: the number is in your briefing.
        """),
    ),
    Subject(
        topic="health",
        titles=(
            "Vaccinations for {country}",
            "Dengue in {place}",
            "Air quality in {place} with asthma",
        ),
        exchanges=read_exchanges("""
            Which vaccinations do I need for {place}? I leave on {date}.
            The standard ones and hepatitis A. See a travel clinic at least four weeks before: some
            need two doses.

            Is the tap water safe?
            Brush your teeth with it, do not drink it. Bottled water is cheap; check the seal.

            Which hospital would you go to?
            For anything serious the private hospital in the centre: English is spoken and
            international insurers are billed directly.

            Can I bring my prescription medicine?
            Yes, up to 30 days' supply in its packaging, with the prescription in English. Strong
            painkillers need a permit.

            How bad is the air at this time of the year?
            It is worst on still mornings. Over 150 on the index I send you a message; plan outdoor
            meetings for the afternoon.
        """),
    ),
    Subject(
        topic="natural hazards",
        titles=(
            "Earthquake near {place}: are flights running?",
            "Monsoon in {place}, is {date} too early?",
            "Landslide on the way to {other}",
        ),
        exchanges=read_exchanges("""
            There was a warning for {place} this morning. Does it concern us on {date}?
            It ends two days before you arrive. I would keep the booking, and take the refundable
            fare.

            Where do we go if it happens while we are in the hotel?
            Ask at the desk for the assembly point: it is on the plan behind the door. Keep shoes
            and a torch beside the bed.

            Are the flights to {other} running?
            All of today's have left, with delays of about an hour. Tomorrow's first one is
            cancelled.

            Will our insurance pay if we change the route now?
            Most policies do once there is an official warning. Take a screenshot of it today: they
            ask for the date.

            Who tells us when it is over?
            The civil protection agency lifts it, and I pass that on within minutes. Do not go by
            social media.
        """),
    ),
    Subject(
        topic="business travel",
        titles=(
            "Client visit in {place}, {date}",
            "Meeting point and drivers in {place}",
            "Laptops and border checks: {country}",
        ),
        exchanges=read_exchanges("""
            Four of us visit a client in {place} on {date}. What should the briefing say?
            Risk is moderate: petty crime, heavy traffic, now and then a demonstration. Share the
            itinerary with your office and agree on two check-ins a day.

            Do we need a driver, or are taxis fine?
            By day taxis by app are fine. For the airport after dark I would book the driver whose
            licence we have verified.

            May the border police look into our laptops?
            They may ask you to unlock them. Travel with a clean machine, and fetch what you need
            from your server once you are there.

            Which hotel has the better exits, the one by the river or the one in the centre?
            The one by the river: two separate stairwells, guarded parking, and 400 m from the
            clinic.

            Somebody should be reachable at night. How do others do that?
            One phone that goes round each evening, and a code word for trouble. Our analysts are
            there around the clock for ENTERPRISE accounts.
        """),
    ),
)
