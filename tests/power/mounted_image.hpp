// SPDX-License-Identifier: MIT
#pragma once

// An image on a loop device, mounted where no other process can see it: other programs copy the mounts that
// they see, and an image whose mount lives on there would be written to after its end.

#include <cerrno>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "power/descriptor.hpp"
#include "power/setup.hpp"

namespace power {

/// Leaves the mounts of the system alone from now on, and gives the process a folder in memory. The kernel
/// ends all that is mounted from now on with the process, however that ends.
inline void enter_private_mounts(const std::filesystem::path& folder) {
  if (::unshare(CLONE_NEWNS) != 0) throw_errno("cannot make private mounts: run this as root");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) throw_errno("mount / private");
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=2g") != 0) throw_errno("mount a tmpfs");
}

/// A loop device on a file. The kernel detaches the device when its last user is gone, of which this is one.
class LoopDevice {
 public:
  explicit LoopDevice(const std::filesystem::path& image) {
    const Descriptor file{image, O_RDWR};
    const Descriptor control{"/dev/loop-control", O_RDWR};
    struct ::loop_config config{};
    config.fd = static_cast<std::uint32_t>(file.number());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    for (int tries = 0; tries < 100; ++tries) {
      const int number = ::ioctl(control.number(), LOOP_CTL_GET_FREE);
      if (number < 0) throw_errno("no loop device is free");
      path_ = "/dev/loop" + std::to_string(number);
      device_.emplace(path_, O_RDWR);
      if (::ioctl(device_->number(), LOOP_CONFIGURE, &config) == 0) return;
      if (errno != EBUSY) throw_errno("cannot attach " + path_);  // another process may have been faster
    }
    throw std::runtime_error{"all loop devices were taken by others"};
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  std::optional<Descriptor> device_;
};

/// An image, mounted on `folder`. The destructor ends that and removes the image.
class MountedImage {
 public:
  MountedImage(std::filesystem::path image, std::filesystem::path folder, const Setup& setup)
      : image_{std::move(image)}, folder_{std::move(folder)} {
    std::filesystem::create_directories(folder_);
    const LoopDevice loop{image_};
    std::string options = setup.mount;
    if (setup.fs == "xfs") options += options.empty() ? "nouuid" : ",nouuid";
    mounted_ = ::mount(loop.path().c_str(), folder_.c_str(), setup.fs.c_str(), 0, options.c_str()) == 0;
  }
  MountedImage(const MountedImage&) = delete;
  MountedImage& operator=(const MountedImage&) = delete;
  ~MountedImage() {
    if (mounted_ && ::umount2(folder_.c_str(), 0) != 0) std::terminate();  // it would write into the next one
    std::error_code ignored;
    std::filesystem::remove(image_, ignored);
  }

  /// False if the file system refuses what it holds.
  [[nodiscard]] bool mounted() const noexcept { return mounted_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
  std::filesystem::path image_;
  std::filesystem::path folder_;
  bool mounted_ = false;
};

}  // namespace power
