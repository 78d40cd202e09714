// Package fake is the command that runs a stand-in of the API and a webhook receiver.
package fake
