"""What a tester asks for and looks at: directives, the log of calls."""
