// SPDX-License-Identifier: MIT

// player SCENE STORAGE FOLDER [LIBRARY]: plays one scene from the life of a process, with a store in FOLDER.
// The tests in this folder run the player, watch it, and inspect the remaining files.

#include <cstdio>
#include <map>
#include <string>

#include "ends.hpp"
#include "forks.hpp"
#include "libraries.hpp"
#include "stage.hpp"

namespace lifecycle {

using Scene = void (*)();

const std::map<std::string, Scene> kScenes{
    {"static store", static_store_alone},
    {"thread_local of a thread", thread_local_of_a_thread},
    {"thread_local of main", thread_local_of_main},
    {"exit handler", exit_handler},
    {"static object", static_object},
    {"static store of odd keys", static_store_of_odd_keys},
    {"store of a late object", store_of_a_late_object},
    {"exit in on_error", exit_in_on_error},
    {"exit in on_error of close", exit_in_on_error_of_close},
    {"exit in on_error of the saver", exit_in_on_error_of_the_saver},
    {"exit in logger", exit_in_logger},
    {"exit in logger of the saver", exit_in_logger_of_the_saver},
    {"exit in visit", exit_in_visit},
    {"exit in visit, unsaved", exit_in_visit_unsaved},
    {"exit in for_each, unsaved", exit_in_for_each_unsaved},
    {"exit in modify", exit_in_modify},
    {"exit beside writers", exit_beside_writers},
    {"quick_exit", quick_exit},
    {"leaked store", leaked_store},
    {"store on the stack", store_on_the_stack},
    {"terminated", terminated},
    {"killed while it writes", killed_while_it_writes},
    {"exec without fork", exec_without_fork},
    {"after exec", after_exec},
    {"standard descriptors closed", standard_descriptors_closed},
    {"failing destructor", failing_destructor},
    {"failing destructor with on_error", failing_destructor_with_on_error},
    {"failing destructor with logger", failing_destructor_with_logger},
    {"silent exit in visit", silent_exit_in_visit},
    {"silent leaked store", silent_leaked_store},
    {"silent store on the stack", silent_store_on_the_stack},
    {"silent failing destructor", silent_failing_destructor},
    {"child exits", child_exits},
    {"child leaves at once", child_leaves_at_once},
    {"child executes", child_executes},
    {"child closes", child_closes},
    {"child exits and parent dies", child_exits_and_parent_dies},
    {"child returns", child_returns},
    {"daemon", daemon},
    {"proper daemon", proper_daemon},
    {"fork beside writers", fork_beside_writers},
    {"store of the child", store_of_the_child},
    {"unloaded library", unloaded_library},
    {"fork after an unloaded library", fork_after_an_unloaded_library},
};

}  // namespace lifecycle

// The scenes leave memory behind on purpose. A report of a leak checker would count as a complaint of the
// store.
extern "C" const char* __asan_default_options();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

int main(int count, char** arguments) {
  const auto found = count < 4 ? lifecycle::kScenes.end() : lifecycle::kScenes.find(arguments[1]);
  if (found == lifecycle::kScenes.end()) {
    std::fputs("usage: player SCENE STORAGE FOLDER [LIBRARY]\n", stderr);
    return 2;
  }
  lifecycle::stage = {arguments[2], arguments[3], count > 4 ? arguments[4] : ""};
  found->second();
}
