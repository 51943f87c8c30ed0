# For scripts of bash that run Windows programs, after support/setup.sh.

# use_wine FOLDER: makes FOLDER/wine a Windows of its own for `wine`, which needs no screen and leaves the desktop's menus
# alone. What Wine starts for itself ends with the script.
use_wine() {
  need wine=wine
  case $1 in /*) export WINEPREFIX=$1/wine ;; *) export WINEPREFIX=$PWD/$1/wine ;; esac
  export WINEDEBUG=-all WINEDLLOVERRIDES='winemenubuilder.exe=;mscoree=;mshtml='
  unset DISPLAY
  trap 'wineserver -k || true' EXIT
  quietly "$1/wine.txt" wine cmd /c ver
}
