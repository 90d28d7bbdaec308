"""Real places that customers travel to, for data that is made up."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

EARTH_DIAMETER = 12_742  # km


class Place(NamedTuple):
    """A city, and where it lies."""

    name: str
    country: str
    region: str
    latitude: float
    longitude: float

    def distance_to(self, other: Place) -> int:
        """Return the kilometres to another place, as the crow flies."""
        here, there = radians(self.latitude), radians(other.latitude)
        east = radians(other.longitude - self.longitude)
        part = sin((there - here) / 2) ** 2 + cos(here) * cos(there) * sin(east / 2) ** 2
        return round(EARTH_DIAMETER * asin(sqrt(part)))

    def nearest(self) -> list[Place]:
        """Return all other places, the nearest first."""
        others = (place for place in PLACES if place != self)
        return sorted(others, key=self.distance_to)


PLACES = (
    Place("Tbilisi", "Georgia", "Caucasus", 41.69, 44.80),
    Place("Mestia", "Georgia", "Caucasus", 43.05, 42.73),
    Place("Batumi", "Georgia", "Caucasus", 41.65, 41.64),
    Place("Yerevan", "Armenia", "Caucasus", 40.18, 44.51),
    Place("Goris", "Armenia", "Caucasus", 39.51, 46.34),
    Place("Baku", "Azerbaijan", "Caucasus", 40.41, 49.87),
    Place("Sheki", "Azerbaijan", "Caucasus", 41.19, 47.17),
    Place("Almaty", "Kazakhstan", "Central Asia", 43.24, 76.89),
    Place("Bishkek", "Kyrgyzstan", "Central Asia", 42.87, 74.59),
    Place("Osh", "Kyrgyzstan", "Central Asia", 40.53, 72.80),
    Place("Samarkand", "Uzbekistan", "Central Asia", 39.65, 66.98),
    Place("Khorog", "Tajikistan", "Central Asia", 37.49, 71.55),
    Place("Istanbul", "Türkiye", "Middle East", 41.01, 28.98),
    Place("Gaziantep", "Türkiye", "Middle East", 37.07, 37.38),
    Place("Amman", "Jordan", "Middle East", 31.95, 35.93),
    Place("Aqaba", "Jordan", "Middle East", 29.53, 35.01),
    Place("Muscat", "Oman", "Middle East", 23.59, 58.41),
    Place("Salalah", "Oman", "Middle East", 17.02, 54.09),
    Place("Erbil", "Iraq", "Middle East", 36.19, 44.01),
    Place("Cairo", "Egypt", "North Africa", 30.04, 31.24),
    Place("Alexandria", "Egypt", "North Africa", 31.20, 29.92),
    Place("Marrakesh", "Morocco", "North Africa", 31.63, -8.00),
    Place("Fès", "Morocco", "North Africa", 34.03, -5.00),
    Place("Tunis", "Tunisia", "North Africa", 36.81, 10.18),
    Place("Sfax", "Tunisia", "North Africa", 34.74, 10.76),
    Place("Nairobi", "Kenya", "East Africa", -1.29, 36.82),
    Place("Kampala", "Uganda", "East Africa", 0.35, 32.58),
    Place("Kigali", "Rwanda", "East Africa", -1.94, 30.06),
    Place("Addis Ababa", "Ethiopia", "East Africa", 9.03, 38.74),
    Place("Lagos", "Nigeria", "West Africa", 6.52, 3.38),
    Place("Accra", "Ghana", "West Africa", 5.60, -0.19),
    Place("Dakar", "Senegal", "West Africa", 14.72, -17.47),
    Place("Saint-Louis", "Senegal", "West Africa", 16.03, -16.50),
    Place("Johannesburg", "South Africa", "Southern Africa", -26.20, 28.05),
    Place("Maputo", "Mozambique", "Southern Africa", -25.97, 32.57),
    Place("Bogotá", "Colombia", "Latin America", 4.71, -74.07),
    Place("Medellín", "Colombia", "Latin America", 6.24, -75.58),
    Place("Quito", "Ecuador", "Latin America", -0.18, -78.47),
    Place("Lima", "Peru", "Latin America", -12.05, -77.04),
    Place("Cusco", "Peru", "Latin America", -13.53, -71.97),
    Place("Mexico City", "Mexico", "Latin America", 19.43, -99.13),
    Place("Oaxaca", "Mexico", "Latin America", 17.07, -96.73),
    Place("San Salvador", "El Salvador", "Latin America", 13.69, -89.22),
    Place("Kathmandu", "Nepal", "South Asia", 27.72, 85.32),
    Place("Lahore", "Pakistan", "South Asia", 31.55, 74.34),
    Place("Islamabad", "Pakistan", "South Asia", 33.69, 73.05),
    Place("Colombo", "Sri Lanka", "South Asia", 6.93, 79.86),
    Place("Kandy", "Sri Lanka", "South Asia", 7.29, 80.63),
    Place("Dhaka", "Bangladesh", "South Asia", 23.81, 90.41),
    Place("Manila", "Philippines", "South-East Asia", 14.60, 120.98),
    Place("Baguio", "Philippines", "South-East Asia", 16.40, 120.60),
    Place("Jakarta", "Indonesia", "South-East Asia", -6.21, 106.85),
    Place("Bandung", "Indonesia", "South-East Asia", -6.91, 107.61),
    Place("Phnom Penh", "Cambodia", "South-East Asia", 11.56, 104.93),
    Place("Siem Reap", "Cambodia", "South-East Asia", 13.36, 103.86),
    Place("Chișinău", "Moldova", "Eastern Europe", 47.01, 28.86),
    Place("Lviv", "Ukraine", "Eastern Europe", 49.84, 24.03),
    Place("Pristina", "Kosovo", "Eastern Europe", 42.66, 21.17),
    Place("Prizren", "Kosovo", "Eastern Europe", 42.21, 20.74),
)
REGIONS = tuple(dict.fromkeys(place.region for place in PLACES))
