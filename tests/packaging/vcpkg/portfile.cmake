# The port as vcpkg's registry takes it; the hash is filled in when a release is tagged.
set(VCPKG_BUILD_TYPE release) # header-only
vcpkg_from_github(
  OUT_SOURCE_PATH SOURCE_PATH
  REPO kvstore/kvstore
  REF "v${VERSION}"
  SHA512 0
  HEAD_REF main)
vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
  FEATURES
    sqlite KVSTORE_SQLITE
    redis-cluster KVSTORE_REDIS_CLUSTER
    etcd KVSTORE_ETCD)
vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DKVSTORE_INSTALL=ON -DKVSTORE_BUILD_TESTS=OFF -DKVSTORE_BUILD_EXAMPLES=OFF ${FEATURE_OPTIONS})
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/kvstore)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
