# What the runner hands to the settler is kept by runs.c, what it asks of the relay by the test.
target_link_options(${test} PRIVATE -Wl,--wrap=settler_take -Wl,--wrap=relay_rebuild)
