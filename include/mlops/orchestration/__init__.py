"""Airflow's side: builders that turn specifications into DAGs. The only room that imports Airflow."""
