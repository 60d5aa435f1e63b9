"""The schema's only source of truth: SQL files in Liquibase's formatted-SQL form, and what applies them."""
