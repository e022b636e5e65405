"""Backup and restore: ledger, registry and lake as one consistent point."""
