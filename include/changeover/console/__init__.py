"""Pages of the product inside the Airflow UI."""
