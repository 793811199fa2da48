"""The published language: shapes, fields, events and errors that every program speaks."""
