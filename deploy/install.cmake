# cmake --install: programs, contracts, examples, units, manual pages; cpack: a Debian package of it.
#
#   cmake --install build/release --prefix /opt/distillery
#   (cd build/release && cpack -G DEB)
include(GNUInstallDirs)
# The package's manager must not build what nobody asked for.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

set(programs coordinator)
if(DISTILLERY_TORCH)
  list(APPEND programs teacher_service student_worker distillery)
endif()
install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

install(DIRECTORY proto/distillery/v1 DESTINATION ${CMAKE_INSTALL_DATADIR}/distillery/proto/distillery
        FILES_MATCHING PATTERN *.proto)
install(DIRECTORY proto/inference DESTINATION ${CMAKE_INSTALL_DATADIR}/distillery/proto
        FILES_MATCHING PATTERN *.proto)
install(DIRECTORY deploy/examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
        PATTERN __pycache__ EXCLUDE PATTERN build EXCLUDE PATTERN *.egg-info EXCLUDE)
install(DIRECTORY deploy/prometheus deploy/grafana DESTINATION ${CMAKE_INSTALL_DATADIR}/distillery)
install(DIRECTORY deploy/kubernetes DESTINATION ${CMAKE_INSTALL_DATADIR}/distillery
        PATTERN certificates EXCLUDE)
install(FILES README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md deploy/results.schema.json
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY deploy/pictures DESTINATION ${CMAKE_INSTALL_DOCDIR}/deploy)
# The name that Debian asks for.
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES deploy/systemd/distillery-teacher.service deploy/systemd/distillery-coordinator.service
              deploy/systemd/distillery-worker.service
        DESTINATION lib/systemd/system)
# In the package, /etc: see deploy/debian/stage.cmake.
install(FILES deploy/systemd/teacher.env deploy/systemd/coordinator.env deploy/systemd/worker.env
        DESTINATION etc/distillery)
# Made by the programs themselves, so that they say what --help says.
foreach(program ${programs})
  install(CODE "execute_process(
    COMMAND ${CMAKE_SOURCE_DIR}/deploy/manual_page $<TARGET_FILE:${program}>
    OUTPUT_FILE ${CMAKE_BINARY_DIR}/${program}.1 COMMAND_ERROR_IS_FATAL ANY)")
  install(FILES ${CMAKE_BINARY_DIR}/${program}.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME distillery)
set(CPACK_PACKAGE_CONTACT "Distillery developers <distillery@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Knowledge distillation as a service")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"A large trained teacher is served on a GPU node; cheap machines train a small
 student from its temperature-softened outputs; a coordinator averages their
 weights. Four programs: teacher_service, coordinator, student_worker and the
 distillery command, with units of systemd for the first three.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# libopenblas0-pthread: the reference BLAS would do as well, and is many times slower.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
if(DISTILLERY_TORCH)
  string(APPEND CPACK_DEBIAN_PACKAGE_DEPENDS ", libopenblas0-pthread")
endif()
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles ${CMAKE_SOURCE_DIR}/deploy/debian/postinst
  ${CMAKE_SOURCE_DIR}/deploy/debian/prerm ${CMAKE_SOURCE_DIR}/deploy/debian/postrm)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/deploy/debian/stage.cmake)
include(CPack)
