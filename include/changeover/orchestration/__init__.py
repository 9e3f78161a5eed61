"""Airflow: the only part of the product that knows it."""
