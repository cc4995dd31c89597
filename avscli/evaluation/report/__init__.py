"""What an evaluation tells: tables, eval.json, eval.csv, eval.html, comparisons, gates."""
