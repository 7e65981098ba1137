# SPDX-License-Identifier: MIT
# What users of the library get: the two libraries, the public headers, a pkg-config file and a CMake
# package. Both find their prefix from where they lie, so an installed tree can be moved.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/multifd)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(TARGETS multifd_shared EXPORT multifdTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
# An export of its own: only users of the archive need its dependencies' development files.
install(TARGETS multifd_static EXPORT multifdStaticTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES
  ${CMAKE_CURRENT_LIST_DIR}/include/multifd.h
  ${CMAKE_CURRENT_LIST_DIR}/include/multifd_bridge.h
  ${CMAKE_CURRENT_LIST_DIR}/include/multifd_error.h
  ${CMAKE_CURRENT_LIST_DIR}/include/multifd_method.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

file(RELATIVE_PATH pkgconfig_to_prefix
  ${CMAKE_INSTALL_PREFIX}/${pkgconfig_dir} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pkgconfig_to_prefix ${pkgconfig_to_prefix})
configure_file(${CMAKE_CURRENT_LIST_DIR}/multifd.pc.in multifd.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/multifd.pc DESTINATION ${pkgconfig_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/multifdConfig.cmake.in multifdConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(multifdConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/multifdConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/multifdConfigVersion.cmake
  DESTINATION ${package_dir})
install(EXPORT multifdTargets NAMESPACE libmultifd:: DESTINATION ${package_dir})
install(EXPORT multifdStaticTargets NAMESPACE libmultifd:: DESTINATION ${package_dir})
