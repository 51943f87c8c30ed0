"""The recipe as Conan's registry takes it; its conandata.yml names the released archive and its hash."""

import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class KvstoreConan(ConanFile):
    name = "kvstore"
    version = "0.1.0"
    description = "A typed, thread-safe, durable map for C++20"
    license = "MIT"
    homepage = "https://github.com/kvstore/kvstore"
    topics = ("key-value", "persistence", "json", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"sqlite": [True, False], "redis_cluster": [True, False], "etcd": [True, False]}
    default_options = {"sqlite": False, "redis_cluster": False, "etcd": False}
    no_copy_source = True

    def layout(self):
        basic_layout(self, src_folder="src")

    def requirements(self):
        self.requires("nlohmann_json/[>=3.11 <4]", transitive_headers=True)
        if self.options.sqlite:
            self.requires("sqlite3/[>=3.40 <4]", transitive_headers=True)
        if self.options.redis_cluster:
            self.requires("hiredis/[>=0.14 <2]", transitive_headers=True)
        if self.options.etcd:
            self.requires("cpp-httplib/[>=0.11 <1]", transitive_headers=True, options={"with_openssl": True})

    def package_id(self):
        self.info.settings.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def build(self):
        pass  # header-only

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "*.[hi]pp", os.path.join(self.source_folder, "include"), os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "kvstore")
        core = self.cpp_info.components["core"]
        core.set_property("cmake_target_name", "kvstore::kvstore")
        core.requires = ["nlohmann_json::nlohmann_json"]
        if self.settings.os == "Linux":
            core.system_libs = ["pthread"]
        for name, package in (("sqlite", "sqlite3::sqlite3"), ("redis_cluster", "hiredis::hiredis"),
                              ("etcd", "cpp-httplib::cpp-httplib")):
            if self.options.get_safe(name):
                component = self.cpp_info.components[name]
                component.set_property("cmake_target_name", f"kvstore::{name}")
                component.requires = ["core", package]
