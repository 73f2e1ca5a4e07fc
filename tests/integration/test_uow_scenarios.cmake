# What the runner hands to the settler is kept by runs.c.
target_link_options(${test} PRIVATE -Wl,--wrap=settler_take)
