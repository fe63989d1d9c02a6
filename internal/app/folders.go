package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"ringback/internal/config"
)

// folders are those of the configuration's files, watched for changes. A file that an
// editor renames into its place, or that Kubernetes links anew, is seen there alone.
type folders struct {
	// events and errors are nil where the system watches nothing for this program.
	events  <-chan fsnotify.Event
	errors  <-chan error
	watcher *fsnotify.Watcher
	log     *zap.Logger
	// told is set once the log says that a folder is not watched.
	told bool
}

func watchFolders(log *zap.Logger) *folders {
	f := &folders{log: log}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.tell(err)
		return f
	}
	f.watcher, f.events, f.errors = watcher, watcher.Events, watcher.Errors
	return f
}

// follow watches the folders of files; one that is watched stays so.
func (f *folders) follow(files config.Files) {
	if f.watcher == nil {
		return
	}
	for file := range files {
		for _, folder := range foldersOf(file) {
			// A folder that is gone by now was in another, which is watched.
			if err := f.watcher.Add(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
				f.tell(&fs.PathError{Op: "watch", Path: folder, Err: err})
			}
		}
	}
}

func (f *folders) tell(err error) {
	if f.told {
		return
	}
	f.told = true
	hint := ""
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENOSPC) {
		hint = "; the machine's limits are fs.inotify.max_user_instances and fs.inotify.max_user_watches"
	}
	f.log.Warn("not every change of the configuration is seen by itself: send SIGHUP after each"+hint, zap.Error(err))
}

func (f *folders) close() {
	if f.watcher != nil {
		_ = f.watcher.Close()
	}
}

// maxLinks is how many symbolic links Linux follows for one path.
const maxLinks = 40

// foldersOf are the folders in which a change can give path another content: its own, or
// the nearest one that is there, and that of each symbolic link on the way.
func foldersOf(path string) (found []string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	for range maxLinks {
		at, target := firstLink(path)
		found = append(found, filepath.Dir(at))
		if target == "" {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		path = filepath.Join(target, strings.TrimPrefix(path, at))
	}
	return found
}

// firstLink is the first symbolic link on the way to path, and where it leads; without
// one it is path, or what of it is missing first.
func firstLink(path string) (at, target string) {
	names := strings.Split(path, string(filepath.Separator)) // the first one is empty
	for i := range names[1:] {
		at = strings.Join(names[:i+2], string(filepath.Separator))
		info, err := os.Lstat(at)
		if err != nil {
			break
		}
		if info.Mode().Type() == fs.ModeSymlink {
			target, _ = os.Readlink(at)
			break
		}
	}
	return at, target
}
