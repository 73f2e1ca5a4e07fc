# Inside the link layer: what an address means is nobody else's to know.
target_link_libraries(${target} PRIVATE PkgConfig::hiredis)
