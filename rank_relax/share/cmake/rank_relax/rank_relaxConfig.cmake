# find_package(rank_relax) finds Torch, which must be the one that the library was compiled for, and
# gives the target rank_relax::rank_relax: the header rank_relax/rank_relax.h and the library whose
# loading registers the operators. Pass rank_relax.cmake_prefix_path and torch.utils.cmake_prefix_path
# in CMAKE_PREFIX_PATH.
include(CMakeFindDependencyMacro)
find_dependency(Torch)

get_filename_component(_rank_relax_package "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_rank_relax_library "${_rank_relax_package}/_C.abi3.so")
if(NOT EXISTS "${_rank_relax_library}")
  set(rank_relax_FOUND FALSE)
  set(rank_relax_NOT_FOUND_MESSAGE
      "rank_relax in ${_rank_relax_package} has not been compiled: install it with pip")
  return()
endif()

if(NOT TARGET rank_relax::rank_relax)
  add_library(rank_relax::rank_relax SHARED IMPORTED)
  set_target_properties(rank_relax::rank_relax PROPERTIES
    IMPORTED_LOCATION "${_rank_relax_library}"
    INTERFACE_INCLUDE_DIRECTORIES "${_rank_relax_package}/include"
    INTERFACE_LINK_LIBRARIES "${TORCH_LIBRARIES}")
  # Programs use no symbol of the library, and a linker may leave such a one out.
  set_property(TARGET rank_relax::rank_relax PROPERTY
    INTERFACE_LINK_OPTIONS "LINKER:--no-as-needed")
endif()
unset(_rank_relax_library)
unset(_rank_relax_package)
