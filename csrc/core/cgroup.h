// SPDX-License-Identifier: Apache-2.0
// The processors that control groups leave to a process: containers with a quota see all processors of their machine.
#pragma once
#include <algorithm>
#include <climits>
#include <fstream>
#include <string>

namespace annk {

// The quota in a file of version 2, "200000 100000" or "max 100000", or in the two of version 1; INT_MAX where there is
// none.
inline int quota_cpus(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return INT_MAX;
  return static_cast<int>(std::clamp((quota + period - 1) / period, 1.0, double{INT_MAX}));
}
inline double number_in(const std::string& path) {
  double value = -1;
  std::ifstream(path) >> value;
  return value;
}
inline int quota_of_group(const std::string& folder) {
  double quota = -1, period = -1;
  std::ifstream(folder + "/cpu.max") >> quota >> period;  // of "max" nothing is read
  if (period > 0) return quota_cpus(quota, period);
  return quota_cpus(number_in(folder + "/cpu.cfs_quota_us"), number_in(folder + "/cpu.cfs_period_us"));
}

// The least quota of the group and of those above it, rounded up. `memberships` is /proc/self/cgroup, `mount`
// /sys/fs/cgroup. Groups that are not seen from inside of a container are passed over: its own then lies at the mount.
inline int cgroup_cpus(const std::string& memberships, const std::string& mount) {
  int least = INT_MAX;
  std::ifstream lines(memberships);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool cpu = ("," + controllers + ",").find(",cpu,") != std::string::npos;
    if (!controllers.empty() && !cpu) continue;
    const std::string root = controllers.empty() ? mount : mount + "/" + controllers;
    for (std::string group = line.substr(second + 1);; group.resize(group.rfind('/'))) {
      while (!group.empty() && group.back() == '/') group.pop_back();
      least = std::min(least, quota_of_group(root + group));
      if (group.rfind('/') == std::string::npos) break;
    }
  }
  return least;
}

}  // namespace annk
