"""Figures and pictures to one page, and to a page that compares several runs.

In: what the stages have left. Out: HTML without a request to any network, and Markdown. A new section is a function
that gathers, called in `page`, and its part of page.html.jinja.
"""
