"""The runner behind `changeover test`: what is run, what this machine cannot run, and what came of it."""
