# Settings of a package lie in /etc, whatever its prefix is.
file(RENAME ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/etc ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/etc)
